#pragma once

#include <string>
#include <vector>

#include "archives/spool.h"
#include "base/unique_fd.h"
#include "daemon/images/oci_import.h"
#include "overlayfs/store.h"

namespace hutch::daemon {

/// An image in an archive: with `blobs` for its layers, and what the archive calls it.
struct PackedImage {
    OciImage image;
    std::vector<archives::Member> blobs;
    std::vector<std::string> names;
};

/// An archive of images, as an OCI layout or as `docker save` writes it; its content lies in a file of the store that
/// has no name. All of it is a stranger's. On worker threads.
class OciArchive {
  public:
    /// Reads to the end of `pipe`.
    static Result<OciArchive> read(const overlayfs::Store& store, int pipe);
    /// Those for this machine, with what their documents say verified against their digests.
    [[nodiscard]] Result<std::vector<PackedImage>> images() const;
    [[nodiscard]] Result<OciBlob> open(const archives::Member& member) const;

  private:
    OciArchive(UniqueFd file, archives::Spooled content) : file_(std::move(file)), content_(std::move(content)) {}
    [[nodiscard]] Result<archives::Member> member(const std::string& path) const;
    [[nodiscard]] Result<std::string> document(const std::string& path) const;
    [[nodiscard]] Result<std::string> document_of(const oci::Descriptor& descriptor) const;
    [[nodiscard]] Result<std::vector<PackedImage>> layout_images() const;
    [[nodiscard]] Result<std::vector<PackedImage>> docker_images() const;
    [[nodiscard]] Result<PackedImage> packed(const oci::Descriptor& manifest) const;

    UniqueFd file_;
    archives::Spooled content_;
};

}  // namespace hutch::daemon
