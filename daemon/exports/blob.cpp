#include "daemon/exports/blob.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "archives/gzip.h"
#include "base/file.h"
#include "daemon/digest.h"
#include "overlayfs/layer.h"
#include "overlayfs/layer_archive.h"

namespace hutch::daemon {
namespace {

// What init writes at each start of a box (snapshots/diff.cpp has more, for which there is a layer below to compare).
bool is_written_at_start(const std::string& path) {
    static const std::set<std::string> kWrittenAtStart = {"etc/hostname", "etc/hosts", "etc/resolv.conf"};
    return kWrittenAtStart.contains(path);
}

}  // namespace

Result<LayerBlob> write_blob(const overlayfs::Store& store, const std::vector<std::string>& stack,
                             const std::stop_token& stop) {
    const std::string operation = "writing layer " + (stack.empty() ? "" : stack.front()) + " as an archive";
    const auto roots = TRY_IN(operation, overlayfs::open_layers(store, stack));
    LayerBlob blob;
    blob.file = UniqueFd(openat(store.tmp(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!blob.file) return errno_error(operation + ": making a file in tmp/");
    Sha256 plain;
    Sha256 packed;
    const auto keep = [&](std::string_view bytes) -> Result<void> {
        packed.add(bytes);
        blob.bytes += static_cast<int64_t>(bytes.size());
        return write_all(blob.file.get(), bytes);
    };
    auto gzip = TRY_IN(operation, archives::Gzip::open(keep));
    const overlayfs::ByteSink pack = [&](std::string_view bytes) {
        plain.add(bytes);
        return gzip.add(bytes);
    };
    const bool lies_on_others = roots.size() > 1;
    const auto leave_out = [lies_on_others](const std::string& path) {
        return lies_on_others && is_written_at_start(path);
    };
    TRY_IN(operation, overlayfs::archive_layer(roots, stop, pack, leave_out));
    TRY_IN(operation, gzip.finish());
    blob.diff_id = "sha256:" + plain.hex();
    blob.digest = "sha256:" + packed.hex();
    return blob;
}

Result<std::string> read_blob(const LayerBlob& blob, int64_t offset, size_t most) {
    std::string bytes(std::min(most, static_cast<size_t>(blob.bytes - offset)), '\0');
    const ssize_t got = pread(blob.file.get(), bytes.data(), bytes.size(), offset);
    if (got < 0) return errno_error("reading a layer's archive");
    if (got == 0 && !bytes.empty()) return errno_error("reading a layer's archive", EIO);
    bytes.resize(static_cast<size_t>(got));
    return bytes;
}

}  // namespace hutch::daemon
