#include "table.bpf.h"
char LICENSE[] SEC("license") = "GPL";
