#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archives/tar.h"
#include "base/unique_fd.h"
#include "daemon/box/manager.h"
#include "daemon/event.h"
#include "daemon/wire/oci.h"
#include "daemon/workers.h"

namespace hutch::daemon {

/// An image as a registry or an archive describes it.
struct OciImage {
    std::string name;  ///< that it gets here; an image of that name is replaced
    oci::ImageConfig config;
    /// Lowest first, one for each of config.diff_ids. An empty digest is one that nobody has told (archives of docker
    /// tell none): it is not compared. The diff_id always is.
    std::vector<oci::Descriptor> layers;
    std::string source{};                   ///< the reference it came from
    std::string digest{};                   ///< of its manifest
    std::string customer = kLocalCustomer;  ///< whose it will be
};

/// A layer's blob, plain or packed by gzip, zstd or xz. It is read once, by another thread, to the end or until it is
/// found wrong.
struct OciBlob {
    UniqueFd fd;  ///< blocking: a file, or the reading end of a pipe whose writer closes it, whatever happens
    /// In a file that several blobs share, where it begins. None: from where `fd` stands.
    std::optional<uint64_t> offset{};
    uint64_t size = UINT64_MAX;  ///< no more than this is read
};

/// Opens the blob of layers[index]; asked on the event loop for the layers that the store has not, the lowest first,
/// several at a time. Each may take as long as a download does. Its error, such as that a client left, ends the import.
using OpenBlob = std::function<Task<Result<OciBlob>>(size_t index)>;
/// Hears how far an import is, in a line without its line feed: "layer 2 of 7 is unpacked".
using Progress = std::function<void(const std::string& line)>;

/// Brings layers of OCI images into the store, each in a directory of its own and once for all images: a layer is
/// known by its chain id, which stands for it and all below it. Event loop thread only. To make an image, call
/// Images::import_oci(), which brings its layers and keeps its record.
///
/// A caller has nothing to clear up: until an image's record is written, what was unpacked for it is held by the Stack
/// alone, and goes with that. After a crash, the start sweeps what no record names.
class OciImport {
  public:
    /// Whether that customer may have a layer of the store without bringing its bytes: to know a digest is no proof of
    /// having what it stands for.
    using MayShare = std::function<bool(const std::string& layer, const std::string& customer)>;
    OciImport(Manager& manager, MayShare may_share);
    OciImport(const OciImport&) = delete;
    OciImport& operator=(const OciImport&) = delete;
    ~OciImport();

    /// A layer that is being brought, or is there: kept from being dropped as long as this lives.
    class Coming;
    struct Stack {
        std::vector<std::string> layers;  ///< topmost first
        std::vector<std::shared_ptr<Coming>> held;
    };

    /// The layers of `image`, unpacked where the store has not got them: verified against the digests of blob and
    /// content, durable, and with their LayerBlobRecord. One that the same customer brings at this moment is waited
    /// for. kInvalid where the image is to blame, kTooLarge beyond what an image may unpack to. Not to be cancelled:
    /// who has lost interest has `open` fail.
    Task<Result<Stack>> bring(const OciImage& image, OpenBlob open, Progress progress);

  private:
    struct Piece;
    struct Bringing;
    Result<void> claim(Piece& piece, const std::string& customer);
    Task<Result<void>> unpack(Bringing& bringing, size_t index);
    Task<> unpack_some(std::shared_ptr<Bringing> bringing);
    void begin_unpacking(const std::shared_ptr<Bringing>& bringing);
    Task<Result<void>> settle(Bringing& bringing, size_t index, std::vector<std::string> below);
    Task<Result<void>> complete(Bringing& bringing, size_t index, const std::vector<std::string>& below);
    Task<Result<Stack>> gather(Bringing& bringing);
    [[nodiscard]] bool holds(const std::string& layer);

    Manager& manager_;
    MayShare may_share_;
    std::shared_ptr<OciImport*> home_;                          ///< for those that may outlive this
    std::multimap<std::string, std::weak_ptr<Coming>> coming_;  ///< by chain id
    Workers unpackers_;
};

}  // namespace hutch::daemon
