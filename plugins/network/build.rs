fn main() {
    rezolus_bpf::build("network");
}
