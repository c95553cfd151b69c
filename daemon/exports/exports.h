#pragma once

#include <functional>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/box/manager.h"
#include "daemon/exports/blob.h"
#include "daemon/registry/repository.h"
#include "daemon/wire/oci.h"
#include "daemon/workers.h"

namespace hutch::daemon {

/// What goes out, and by whom it is asked for.
struct Outgoing {
    ImageRecord image;     ///< of which layers, and how programs are run on them; Snapshots::as_image of a snapshot
    std::string name;      ///< that it gets outside: "debian:latest"
    std::string customer;  ///< who asks, for its turn
};

/// A layer as it is at a registry.
struct PushedLayer {
    std::string diff_id;
    oci::Descriptor descriptor{};
    bool sent = false;  ///< else it was there
};

/// Images and snapshots as OCI images. Event loop thread only; layers are read and packed on other threads.
class Exports {
  public:
    explicit Exports(Manager& boxes);
    ~Exports() { stop(); }
    /// What is being written is given up: for the end of the daemon.
    void stop() { stop_.request_stop(); }
    Exports(const Exports&) = delete;
    Exports& operator=(const Exports&) = delete;

    /// Takes the next bytes; an error ends it.
    using Taker = std::function<Task<Result<void>>(std::string_view)>;
    /// Done when who asked is no longer there; may be cancelled.
    using Gone = std::function<Task<>()>;
    /// An OCI image layout as one tar archive, which Docker takes too; nothing is told before the first layer is
    /// written. Of each layer the names are written down (LayerBlobRecord). kLimit where as many are under way as may
    /// be.
    Task<Result<void>> save(Outgoing what, Taker taker, Gone gone);

    /// Hears of each layer that is there now, lowest first.
    using Heard = std::function<Task<Result<void>>(const PushedLayer&)>;
    /// Puts it under a tag of that repository, and answers its manifest's digest. What the registry has is not sent
    /// again, and one look is all where nothing has changed since the last time. Waits its turn as save() does.
    Task<Result<std::string>> push(Outgoing what, std::shared_ptr<Repository> to, std::string tag, Heard heard,
                                   Gone gone);

  private:
    /// Layers that must stay while they are read.
    class InHand {
      public:
        InHand(Exports& exports, std::vector<std::string> layers);
        InHand(const InHand&) = delete;
        InHand& operator=(const InHand&) = delete;
        ~InHand();

      private:
        Exports& exports_;
        const std::vector<std::string> layers_;
    };
    struct Layout;
    static Result<void> check_layers(const ImageRecord& image);
    /// One of those that may be under way, until it is given up.
    Result<std::shared_ptr<const void>> take_turn(const std::string& customer);
    Task<Result<LayerBlob>> make_blob(std::vector<std::string> stack, std::string customer, const Gone& gone);
    Result<void> note(const std::string& layer, const LayerBlob& blob, const std::string& chain_id);
    static Result<std::string> end_layout(const Outgoing& what, Layout& layout);
    Result<std::vector<PushedLayer>> known_layers(const ImageRecord& image);
    Task<Result<bool>> is_there(Repository& to, const ImageRecord& image, std::string digest);
    Task<Result<PushedLayer>> push_layer(const Outgoing& what, size_t at, std::string chain, Repository& to,
                                         const Gone& gone);
    Task<Result<void>> send_layers(const Outgoing& what, Layout& layout, const Taker& taker, const Gone& gone);

    Manager& boxes_;
    std::multiset<std::string> in_hand_;
    std::multiset<std::string> under_way_;  ///< the customers that asked
    std::stop_source stop_;
    // Each holds at most one layer's archive on the disk, of which no limit of a customer knows.
    static constexpr size_t kMostExports = 4;
    static constexpr size_t kMostExportsEach = 2;
    Workers packers_{2, 0, Urgency::kBehind};
    Workers readers_{1, 0, Urgency::kBehind};  ///< of what is packed: not behind what takes minutes
};

/// How programs of the image are run by others, for layers of these diff_ids, bottom first.
oci::ImageConfig config_of(const ImageRecord& image, std::vector<std::string> diff_ids);

}  // namespace hutch::daemon
