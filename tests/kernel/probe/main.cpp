#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/kernel/probe/probe.h"

int main(int argc, char** argv) {
    using namespace hutch::probe;
    for (const auto table : {kernel_attempts(), foreign_attempts(), process_attempts(), nesting_attempts()}) {
        for (const Attempt& attempt : table) {
            if (argc < 2 || strcmp(attempt.name, argv[1]) != 0) continue;
            puts(attempt.act(argv + 2) < 0 ? strerrorname_np(errno) : "done");
            return 0;
        }
    }
    for (const auto table : {facts(), takers(), nests()}) {
        for (const Attempt& fact : table) {
            if (argc >= 2 && strcmp(fact.name, argv[1]) == 0) return static_cast<int>(fact.act(argv + 2));
        }
    }
    fprintf(stderr, "usage: probe NAME [ARGUMENT]...\n");
    return 2;
}
