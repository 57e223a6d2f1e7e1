fn main() {
    rezolus_bpf::build("example");
}
