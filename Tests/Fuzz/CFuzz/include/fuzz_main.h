#ifndef FUZZ_MAIN_H
#define FUZZ_MAIN_H

int fuzz_main(int argc, char **argv);

#endif
