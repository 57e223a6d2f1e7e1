/** The words of PromQL: what they take, and what they are for in a few words. */

/** Name, arguments, what it gives. */
type Entry = [name: string, takes: string, gives: string];

const MATH: Entry[] = [
  ['abs', 'vector', 'without its sign'], ['ceil', 'vector', 'rounded up'], ['floor', 'vector', 'rounded down'],
  ['round', 'vector, to = 1', 'to the nearest multiple'], ['clamp', 'vector, min, max', 'kept within bounds'],
  ['clamp_min', 'vector, min', 'no less than min'], ['clamp_max', 'vector, max', 'no more than max'],
  ['exp', 'vector', 'e to the power of it'], ['ln', 'vector', 'natural logarithm'], ['log2', 'vector', 'binary logarithm'],
  ['log10', 'vector', 'decimal logarithm'], ['sqrt', 'vector', 'square root'], ['sgn', 'vector', '-1, 0 or 1'],
  ['sin', 'vector', 'sine'], ['cos', 'vector', 'cosine'], ['tan', 'vector', 'tangent'], ['asin', 'vector', 'arcsine'],
  ['acos', 'vector', 'arccosine'], ['atan', 'vector', 'arctangent'], ['sinh', 'vector', 'hyperbolic sine'],
  ['cosh', 'vector', 'hyperbolic cosine'], ['tanh', 'vector', 'hyperbolic tangent'], ['asinh', 'vector', 'its inverse'],
  ['acosh', 'vector', 'inverse hyperbolic cosine'], ['atanh', 'vector', 'inverse hyperbolic tangent'],
  ['deg', 'vector', 'radians in degrees'], ['rad', 'vector', 'degrees in radians'], ['pi', '', '3.14159…'],
  ['max_of', 'a, b', 'the greater of two numbers'], ['min_of', 'a, b', 'the lesser of two numbers'],
];

const RANGES: Entry[] = [
  ['rate', 'range', 'increase per second'], ['irate', 'range', 'increase per second between the last two samples'],
  ['increase', 'range', 'how much a counter rose'], ['delta', 'range', 'last less first'],
  ['idelta', 'range', 'difference of the last two samples'], ['deriv', 'range', 'slope per second of the line through it'],
  ['predict_linear', 'range, seconds', 'where that line will be'], ['changes', 'range', 'how often the value changed'],
  ['resets', 'range', 'how often a counter fell'],
  ['double_exponential_smoothing', 'range, level, trend', 'smoothed'],
  ['avg_over_time', 'range', 'mean'], ['min_over_time', 'range', 'least'], ['max_over_time', 'range', 'greatest'],
  ['sum_over_time', 'range', 'sum'], ['count_over_time', 'range', 'number of samples'],
  ['quantile_over_time', 'quantile, range', 'quantile of the samples'], ['stddev_over_time', 'range', 'standard deviation'],
  ['stdvar_over_time', 'range', 'variance'], ['mad_over_time', 'range', 'median absolute deviation'],
  ['first_over_time', 'range', 'oldest sample'], ['last_over_time', 'range', 'newest sample'],
  ['present_over_time', 'range', '1 where there is a sample'], ['absent_over_time', 'range', '1 where there is none'],
  ['ts_of_first_over_time', 'range', 'time of the oldest sample'], ['ts_of_last_over_time', 'range', 'time of the newest'],
  ['ts_of_max_over_time', 'range', 'time of the greatest'], ['ts_of_min_over_time', 'range', 'time of the least'],
];

const HISTOGRAMS: Entry[] = [
  ['histogram_quantile', 'quantile, histogram', 'below which this part of the values is'],
  ['histogram_quantiles', 'histogram, label, quantile …', 'several quantiles, told apart by a label'],
  ['histogram_fraction', 'lower, upper, histogram', 'the part of the values between two'],
  ['histogram_count', 'histogram', 'number of values'], ['histogram_sum', 'histogram', 'sum of the values'],
  ['histogram_avg', 'histogram', 'mean of the values'], ['histogram_stddev', 'histogram', 'standard deviation of the values'],
  ['histogram_stdvar', 'histogram', 'variance of the values'],
];

const OTHERS: Entry[] = [
  ['absent', 'vector', '1 where there is nothing'], ['scalar', 'vector', 'the value of a single series'],
  ['vector', 'scalar', 'a number as a series'], ['sort', 'vector', 'by value, ascending'],
  ['sort_desc', 'vector', 'by value, descending'], ['sort_by_label', 'vector, label …', 'by labels, ascending'],
  ['sort_by_label_desc', 'vector, label …', 'by labels, descending'],
  ['label_replace', 'vector, to, replacement, from, regex', 'a label made of another'],
  ['label_join', 'vector, to, separator, from …', 'a label made of several'], ['info', 'vector, selector', 'with labels of info metrics'],
  ['timestamp', 'vector', 'time of the sample'], ['time', '', 'the time that is looked at'], ['start', '', 'first time of the query'],
  ['end', '', 'last time of the query'], ['step', '', 'seconds between its times'], ['range', '', 'seconds from first to last'],
  ['minute', 'vector', 'minute of the hour, UTC'], ['hour', 'vector', 'hour of the day'], ['day_of_week', 'vector', '0 is Sunday'],
  ['day_of_month', 'vector', '1 to 31'], ['day_of_year', 'vector', '1 to 366'], ['days_in_month', 'vector', '28 to 31'],
  ['month', 'vector', '1 to 12'], ['year', 'vector', 'the year'],
];

export const FUNCTIONS: Entry[] = [...RANGES, ...HISTOGRAMS, ...OTHERS, ...MATH];

export const AGGREGATIONS: Entry[] = [
  ['sum', 'vector', 'added up'], ['avg', 'vector', 'mean'], ['min', 'vector', 'least'], ['max', 'vector', 'greatest'],
  ['count', 'vector', 'how many series'], ['topk', 'k, vector', 'the k greatest series'], ['bottomk', 'k, vector', 'the k least series'],
  ['quantile', 'quantile, vector', 'quantile over the series'], ['stddev', 'vector', 'standard deviation over the series'],
  ['stdvar', 'vector', 'variance over the series'], ['group', 'vector', '1 for each group'],
  ['count_values', 'label, vector', 'how many series have each value'], ['limitk', 'k, vector', 'any k series'],
  ['limit_ratio', 'ratio, vector', 'a part of the series'],
];

/** Behind an expression, with what follows. */
export const OPERATORS: [text: string, detail: string][] = [
  ['+', 'add'], ['-', 'subtract'], ['*', 'multiply'], ['/', 'divide'], ['%', 'remainder'], ['^', 'power'],
  ['==', 'equal'], ['!=', 'not equal'], ['>', 'greater'], ['<', 'less'], ['>=', 'at least'], ['<=', 'at most'],
  ['and', 'where the other has one too'], ['or', 'and what only the other has'], ['unless', 'where the other has none'],
  ['atan2', 'angle'],
];

/** Behind a selector or a subquery. */
export const MODIFIERS: [text: string, detail: string][] = [['offset', 'as it was before'], ['@', 'as it was at a time']];

export const GROUPING: [text: string, detail: string][] = [
  ['by', 'for each value of these labels'], ['without', 'for each value of all other labels'],
];

export const MATCHING: [text: string, detail: string][] = [
  ['on', 'series with the same of these labels'], ['ignoring', 'series with the same of all other labels'],
  ['bool', '0 or 1 for a comparison'],
];

export const JOINING: [text: string, detail: string][] = [
  ['group_left', 'several on the left for one on the right'], ['group_right', 'one on the left for several on the right'],
];

export const DURATIONS = ['5s', '10s', '30s', '1m', '5m', '15m', '1h', '1d'];

/** Words with labels in parentheses behind them. */
export const LABELLED = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right']);

export const KEYWORDS = new Set([...LABELLED, 'and', 'or', 'unless', 'atan2', 'offset', 'bool', 'anchored', 'smoothed']);

export const FUNCTION_NAMES = new Set(FUNCTIONS.map(([name]) => name));

export const AGGREGATION_NAMES = new Set(AGGREGATIONS.map(([name]) => name));
