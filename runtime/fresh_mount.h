#pragma once

// For hutch-init too, so without an allocator and exceptions.

#include <errno.h>
#include <unistd.h>

#include <cstddef>

#include "base/syscalls.h"

namespace hutch::runtime {

struct Option {
    const char* key;
    const char* value;
};

/// A detached mount of a fresh file system (fsopen(2)), close-on-exec; -1 with errno.
template <size_t N>
int fresh(const char* type, unsigned attributes, const Option (&options)[N]) {
    const int fs = sys_fsopen(type, FSOPEN_CLOEXEC);
    if (fs < 0) return -1;
    int mount = -1;
    bool good = true;
    for (const Option& option : options) {
        if (option.key != nullptr)
            good = good && sys_fsconfig(fs, FSCONFIG_SET_STRING, option.key, option.value, 0) == 0;
    }
    if (good && sys_fsconfig(fs, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
        mount = sys_fsmount(fs, FSMOUNT_CLOEXEC, attributes);
    }
    const int saved = errno;
    close(fs);
    errno = saved;
    return mount;
}

}  // namespace hutch::runtime
