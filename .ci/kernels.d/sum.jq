# The sum of the metrics $metric (one, or several joined by "+") in a snapshot
# (/metrics/json), over the series whose label $key has the value $value, or over
# all when $key is "-". Histograms count their observations. Nothing when no
# series matches.
def numbers_of($kind):
  . as $group
  | range(0; ($group.schema[$kind] // []) | length) as $i
  | $group.schema[$kind][$i].metadata as $labels
  | select(($metric | split("+") | index($labels.metric)) and ($key == "-" or $labels[$key] == $value))
  | $group[$kind][$i]
  | if type == "object" then .buckets[] else . end
  | numbers;

[.groups[] | numbers_of("counters", "gauges", "histograms")] | add // empty | floor
