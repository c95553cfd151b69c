#include "runtime/init_image.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <string_view>

#include "base/file.h"

extern "C" {
extern const char hutch_init_begin[];
extern const char hutch_init_end[];
}

namespace hutch::runtime {

Result<UniqueFd> init_image() {
#ifndef MFD_EXEC
    constexpr unsigned MFD_EXEC = 0x0010U;  // Linux 6.3; older kernels refuse it and need nothing
#endif
    UniqueFd image(memfd_create("hutch-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC));
    if (!image && errno == EINVAL) image = UniqueFd(memfd_create("hutch-init", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!image) return errno_error("creating the memfd of hutch-init");
    TRY(write_all(image.get(), {hutch_init_begin, static_cast<size_t>(hutch_init_end - hutch_init_begin)}));
    if (fcntl(image.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        return errno_error("sealing the memfd of hutch-init");
    }
    // A read-only description of it: a writable one would make execve answer ETXTBSY.
    return open_at(AT_FDCWD, "/proc/self/fd/" + std::to_string(image.get()), O_RDONLY);
}

}  // namespace hutch::runtime
