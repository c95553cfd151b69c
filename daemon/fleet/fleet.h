#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/box/manager.h"
#include "daemon/config.h"
#include "daemon/event.h"
#include "daemon/fleet/directory.h"
#include "daemon/fleet/placement.h"

namespace hutch::daemon {

/// Which host has a call with an Idempotency-Key.
struct GivenCall {
    std::string host;
    bool fresh = false;  ///< since just now: it was not given before, so that no host may have made a box
};

/// This host as a member of a fleet. Its own records stay the truth about its boxes; etcd has a directory of all
/// hosts', which is kept here by a watch. While etcd does not answer, what is here goes on; what would change the
/// directory is refused, as Etcd::unreachable() says. Event loop thread only; outlives every exchange.
class Fleet {
  public:
    /// What it asks and tells of this host.
    struct Host {
        std::function<std::vector<std::string>()> images;       ///< their names
        std::function<std::vector<KeyRecord>()> keys;           ///< those that were made here, for the day it joins
        std::function<void(std::vector<KeyRecord>)> take_keys;  ///< those of the fleet, in place of all that are here
    };
    /// kConflict when the host was a member of another fleet: its keys and names may not be this one's.
    static Result<std::unique_ptr<Fleet>> open(const Config& config, Manager& boxes, Fetcher& fetcher);
    Fleet(const Config& config, Manager& boxes, Fetcher& fetcher);
    Fleet(const Fleet&) = delete;
    Fleet& operator=(const Fleet&) = delete;

    /// Begins; what it needs comes and goes with the loop.
    void start(Host host);

    [[nodiscard]] const std::string& self() const { return self_; }
    [[nodiscard]] const Directory& directory() const { return directory_; }
    /// Why the directory may be behind; empty while it is not.
    [[nodiscard]] const std::string& trouble() const { return trouble_; }
    /// Whether a certificate of that name is a host's of the fleet. Before the directory was read, all are.
    [[nodiscard]] bool is_member(const std::string& name) const;
    /// Until a host has come, or gone, or told of itself.
    Task<> hosts_change() { co_await hosts_changed_.wait(); }

    /// A customer's box by id or name, or any by id, where it was just now; nothing for one that is nowhere.
    Task<Result<std::optional<FleetBox>>> look_up(std::string customer, std::string id_or_name, bool any);
    /// Where a box is to be made.
    Placement choose(const std::string& image, const std::set<std::string>& tried);
    /// The host that a call with an Idempotency-Key was given to: `host`, unless it came before. `instead_of`: that
    /// one has refused it, without a box.
    Task<Result<GivenCall>> give_call(std::string customer, std::string key, std::string host, std::string instead_of);

    /// As Manager::Registry.
    Manager::Registry registry();

    /// kConflict when the customer has one.
    Task<Result<void>> share_key(KeyRecord key);
    Task<Result<void>> drop_key(std::string customer);

    /// Whether it takes new boxes. kNotFound.
    Task<Result<void>> cordon(std::string host, bool cordoned);
    /// It is no member any more, nor are its boxes anywhere. kConflict while it is there, or has boxes and `with_boxes`
    /// is not said.
    Task<Result<void>> remove(std::string host, bool with_boxes);

  private:
    Task<> keep_presence();
    Task<Result<void>> tell_presence();
    Task<Result<void>> join();
    Task<> keep_directory();
    Task<Result<int64_t>> read_directory();
    void take(const EtcdEvent& event);
    Task<Result<std::string>> birth();
    Task<Result<void>> share_own_keys();
    Task<> keep_books();
    Task<> compare_boxes();
    Task<Result<void>> enter(FleetBox box);
    Task<Result<void>> strike(FleetBox box);
    Task<Result<void>> claim(BoxRecord box);
    void release(const BoxRecord& box);
    Task<> strike_released(FleetBox box);
    Task<> released(std::string id);
    void note_trouble(const std::string& trouble);
    [[nodiscard]] std::string joined_file() const { return config_.state_dir + "/fleet"; }
    [[nodiscard]] FleetLoad load() const;

    const Config& config_;
    Manager& boxes_;
    Etcd etcd_;
    Host host_{};
    const std::string self_;
    std::string store_;  ///< the id of this host's database
    Directory directory_;
    bool read_ = false;  ///< the directory was, at least once
    std::string trouble_ = "it was not reached yet";
    std::string presence_trouble_;  ///< as it was logged last
    bool joined_ = false;           ///< its name is this host's; before that no row of that name is
    int64_t lease_ = 0;
    int64_t day_lease_ = 0;  ///< of keys of calls
    int64_t day_lease_until_ = 0;
    std::map<std::string, int64_t> given_;                   ///< boxes, to hosts that have not told of themselves since
    std::set<std::string> claimed_;                          ///< ids of boxes that are not on record yet
    std::map<std::string, std::shared_ptr<Event>> leaving_;  ///< ids of boxes whose rows are being removed
    std::map<std::string, FleetBox> untold_;                 ///< that are gone, by id, of which etcd could not be told
    Signal hosts_changed_;
};

}  // namespace hutch::daemon
