// libsystemc has a main() that calls sc_main(). Our programs bring their own main() and drive the kernel through
// sc_start(), so this one is never called; it only satisfies the library's reference (CMakeLists.txt makes the linker
// take it). A program may define its own instead.
extern "C" int sc_main(int argc, char** argv);

int sc_main(int, char**) { return 1; }
