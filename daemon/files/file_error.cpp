#include "daemon/files/file_error.h"

#include <cerrno>

namespace hutch::daemon {

Error file_error(int code, const std::string& what) {
    Error error = errno_error(what, code);
    switch (code) {
        case ENOENT:
            error.kind = ErrorKind::kNotFound;
            break;
        case ENAMETOOLONG:
        case ENOTDIR:
        case EISDIR:
        case ELOOP:
        case EXDEV:
        case EACCES:
        case EPERM:
        case EROFS:
        case ENXIO:
        case EINVAL:
            error.kind = ErrorKind::kInvalid;
            break;
        case EAGAIN:  // a lease on it, or a tree that changes while ".." is walked
        case EEXIST:
        case ENOTEMPTY:
        case EBUSY:
        case ETXTBSY:
            error.kind = ErrorKind::kConflict;
            break;
        default:
            break;
    }
    return error;
}

}  // namespace hutch::daemon
