fn main() {
    rezolus_bpf::build("syscall");
}
