# True when the metric $metric is in a snapshot (/metrics/json) with a sum above zero.
# Counters and gauges are numbers, histograms hold a list of buckets.
def column($kind):
  . as $group
  | range(0; ($group.schema[$kind] // []) | length) as $i
  | select($group.schema[$kind][$i].metadata.metric == $metric)
  | $group[$kind][$i];
[.groups[] | column("counters", "gauges", "histograms") | if type == "object" then .buckets[] else . end | numbers]
| add // 0 | . > 0
