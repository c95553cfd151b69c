#include "daemon/images/oci_blob.h"

#include <unistd.h>

#include <algorithm>

#include "archives/plain.h"
#include "daemon/digest.h"
#include "daemon/images/import_limits.h"

namespace hutch::daemon {
namespace {

/// As `pull`, which it hashes as it goes.
archives::Pull hashing(archives::Pull pull, Sha256& hash, uint64_t& bytes) {
    return [pull = std::move(pull), &hash, &bytes](char* buffer, size_t size) -> Result<size_t> {
        const size_t got = TRY(pull(buffer, size));
        hash.add({buffer, got});
        bytes += got;
        return got;
    };
}

// Twice what its files may be: headers are more than content where files are small.
archives::Pull counting(archives::Pull pull, std::atomic<uint64_t>& sum) {
    return [pull = std::move(pull), &sum](char* buffer, size_t size) -> Result<size_t> {
        const size_t got = TRY(pull(buffer, size));
        if (sum.fetch_add(got) + got <= 2 * kImportLimits.bytes) return got;
        return Error{
            ErrorKind::kTooLarge, 0,
            "the archives of the image unpack to more than " + std::to_string(2 * kImportLimits.bytes) + " bytes"};
    };
}

Result<void> read_to_end(const archives::Pull& pull) {
    std::string rest(size_t{64} << 10, '\0');
    while (TRY(pull(rest.data(), rest.size())) > 0) {
    }
    return {};
}

Result<void> compare(const std::string& what, const std::string& told, const std::string& is) {
    if (told == is) return {};
    return invalid(what + " is " + is + ", where the image says " + told);
}

}  // namespace

archives::Pull pull_blob(const OciBlob& blob) {
    return [&blob, at = uint64_t{0}](char* buffer, size_t size) mutable -> Result<size_t> {
        size = static_cast<size_t>(std::min<uint64_t>(size, blob.size - at));
        if (size == 0) return size_t{0};
        for (;;) {
            const ssize_t n = blob.offset ? pread(blob.fd.get(), buffer, size, static_cast<off_t>(*blob.offset + at))
                                          : ::read(blob.fd.get(), buffer, size);
            if (n >= 0) {
                at += static_cast<uint64_t>(n);
                return static_cast<size_t>(n);
            }
            if (errno != EINTR) return errno_error("reading its blob");
        }
    };
}

Result<void> unpack_blob(const OciBlob& blob, const oci::Descriptor& descriptor, const std::string& diff_id,
                         overlayfs::OciLayer& layer, OciSum& sum, LayerBlobRecord& record) {
    Sha256 of_blob;
    Sha256 of_plain;
    uint64_t packed = 0;
    uint64_t unpacked = 0;
    const archives::Pull plain = hashing(
        counting(TRY(archives::plain_from(hashing(pull_blob(blob), of_blob, packed), archives::Packers::kOfLayers)),
                 sum.plain_bytes),
        of_plain, unpacked);
    const auto report = TRY(layer.unpack(plain, kImportLimits));
    TRY(read_to_end(plain));  // what follows the archive's end is part of what the digests are of
    record.digest = "sha256:" + of_blob.hex();
    record.diff_id = "sha256:" + of_plain.hex();
    record.bytes = static_cast<int64_t>(packed);
    if (!descriptor.digest.empty()) TRY(compare("the digest of its blob", descriptor.digest, record.digest));
    TRY(compare("the digest of its content", diff_id, record.diff_id));
    record.media_type = descriptor.media_type;
    if (record.media_type.empty()) record.media_type = packed == unpacked ? oci::kLayerType : oci::kGzipLayerType;
    if (sum.file_bytes.fetch_add(report.bytes) + report.bytes > kImportLimits.bytes ||
        sum.entries.fetch_add(report.entries) + report.entries > kImportLimits.entries) {
        return Error{ErrorKind::kTooLarge, 0, "the layers of the image are more than an image may be, all together"};
    }
    return {};
}

}  // namespace hutch::daemon
