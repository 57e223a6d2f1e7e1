fn main() {
    rezolus_bpf::build("scheduler");
}
