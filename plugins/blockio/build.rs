fn main() {
    rezolus_bpf::build("blockio");
}
