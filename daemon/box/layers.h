#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "daemon/box/mechanisms.h"
#include "daemon/store/records.h"
#include "daemon/workers.h"

namespace hutch::daemon {

/// Which layers of the store are still needed: derived from what those say who keep stacks of them, never counted. And
/// how large they are: a layer never changes, so each is added up once, in the background. Event loop thread only.
class Layers {
  public:
    using Uses = std::function<bool(const std::string& layer)>;
    /// How many boxes stand on a layer.
    using Boxes = std::function<size_t(const std::string& layer)>;

    Layers(asio::any_io_executor executor, Mechanisms& mechanisms, Records& records);
    ~Layers() { stop_.request_stop(); }
    Layers(const Layers&) = delete;
    Layers& operator=(const Layers&) = delete;

    /// Somebody besides boxes who may need layers. Called until the end of this object.
    void add_user(Uses uses) { users_.push_back(std::move(uses)); }
    /// The boxes, of which there is one user.
    void set_boxes(Uses uses, Boxes standing);
    /// Boxes that were made ahead, which need no layer that nobody else needs: `clear` is to end those on one, and have
    /// drop_unused() called again when they are gone. False when there are none.
    void set_stock(std::function<bool(const std::string& layer)> clear) { clear_stock_ = std::move(clear); }
    [[nodiscard]] bool used(const std::string& layer) const;
    /// The first of them that is not in the store.
    [[nodiscard]] std::optional<std::string> missing(const std::vector<std::string>& layers) const;
    /// Moves those that nobody needs to the trash. What cannot be moved is found by the next start.
    void drop_unused(const std::vector<std::string>& layers);

    /// Reads the sizes known; forgets those of layers that nobody needs, so call it when all users are known.
    Result<void> load();
    /// What is known now; nothing of a layer still to be added up.
    [[nodiscard]] std::optional<int64_t> bytes(const std::string& layer) const;
    /// Whoever made it has added it up.
    void learn(const std::string& layer, int64_t bytes);
    /// Has those of unknown size added up, one after the other. When all are, `done` is called.
    void add_up(
        std::vector<std::string> layers, std::function<void()> done = [] {});
    /// The layer is an image's own, so that whoever stands on it does not pay for it, now or when the image is gone.
    void belongs_to_image(const std::string& layer);
    /// What a box that stands on these pays for besides its upper: of each layer that only boxes hold, its share.
    [[nodiscard]] int64_t share(const std::vector<std::string>& layers) const;
    /// What is being added up is given up: for the end of the daemon.
    void stop() { stop_.request_stop(); }

  private:
    Task<> measure(std::vector<std::string> layers, std::function<void()> done);
    [[nodiscard]] bool used_by_others(const std::string& layer) const;

    asio::any_io_executor executor_;
    Mechanisms& mechanisms_;
    Records& records_;
    std::vector<Uses> users_;
    Uses boxes_use_;
    Boxes boxes_on_;
    std::function<bool(const std::string& layer)> clear_stock_ = [](const std::string&) { return false; };
    std::map<std::string, LayerRecord> known_;  ///< by id
    std::stop_source stop_;
    Workers adders_{1, 0, Urgency::kBehind};  ///< not the workers of requests: a large tree takes seconds
};

bool contains(const std::vector<std::string>& layers, const std::string& layer);

}  // namespace hutch::daemon
