# The sum of metric $metric in a snapshot (/metrics/json), over the series whose
# label $key has the value $value, or over all when $key is "-". Histograms
# count their observations. Nothing when no series matches.
def numbers_of($kind):
  . as $group
  | range(0; ($group.schema[$kind] // []) | length) as $i
  | $group.schema[$kind][$i].metadata as $labels
  | select($labels.metric == $metric and ($key == "-" or $labels[$key] == $value))
  | $group[$kind][$i]
  | if type == "object" then .buckets[] else . end
  | numbers;

[.groups[] | numbers_of("counters", "gauges", "histograms")] | add // empty | floor
