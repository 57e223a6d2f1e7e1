fn main() {
    rezolus_bpf::build("cpu");
}
