fn main() {
    rezolus_bpf::build("memory");
}
