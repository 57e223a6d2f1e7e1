fn main() {
    rezolus_bpf::build("tcp");
}
