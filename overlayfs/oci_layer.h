#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "archives/tar.h"
#include "archives/tree_writer.h"
#include "overlayfs/layer.h"

namespace hutch::overlayfs {

/// A layer of an OCI image on its way into the store. It is unpacked before the layers below it need be there, so that
/// several can be at once; then it is settled with those. Each is called once. Its tree goes to trash with this object
/// unless it was taken.
class OciLayer {
  public:
    static Result<OciLayer> begin(const Store& store);
    OciLayer(OciLayer&&) noexcept;
    OciLayer& operator=(OciLayer&&) noexcept;
    ~OciLayer();

    /// `plain`: a tar archive. See archives::unpack_oci_layer.
    Result<archives::TarReport> unpack(const archives::Pull& plain, const archives::TreeLimits& limits);
    /// A directory (0755) that no archive has told of. In place of unpack(), or after it.
    Result<void> add_directory(const std::string& path, archives::Owner owner);
    /// `below`: root directories, topmost first. Whiteouts and opaque marks become overlayfs's own where they hide
    /// something; links to files of those layers get a copy of them (as a copy-up does); directories that no entry has
    /// told of get owner, mode and time of those below. kInvalid for a link to what is not there.
    Result<void> settle(std::span<const UniqueFd> below);
    Import take();

  private:
    struct State;
    explicit OciLayer(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace hutch::overlayfs
