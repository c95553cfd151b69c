#pragma once

#include <archive.h>

namespace hutch::archives {

/// Frees what writes an archive, also one that was given up: then the rest of its last entry is not written, as
/// archive_write_free(3) would, but an end of it may be, for who takes the bytes to drop. Without the close libarchive
/// keeps its buffers for ever.
inline void free_writer(archive* writer) {
    if (writer == nullptr) return;
    archive_write_fail(writer);
    archive_write_close(writer);
    archive_write_free(writer);
}

}  // namespace hutch::archives
