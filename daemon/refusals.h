#pragma once

#include <array>
#include <compare>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/event.h"
#include "netns/address.h"

namespace hutch::daemon {

/// What refuses a flow of a box.
enum class RefusedBy {
    kBlocked,     ///< its destination is closed to all boxes
    kToHost,      ///< it goes to the host itself
    kPolicy,      ///< the box's network policy, by address
    kName,        ///< the same, by a name that was looked up
    kServerName,  ///< the same, by the name that the flow began with (TLS, HTTP), or for want of one
    kPackets,     ///< more packets than a box may send
    kFlows,       ///< more connections than a box may have
};
constexpr size_t kRefusers = 7;

/// As the API calls it: "blocked". And a sentence about it that needs no more.
const char* name_of(RefusedBy rule);
const char* sentence_of(RefusedBy rule);

/// One flow of a box that was refused.
struct RefusedFlow {
    netns::Ipv4 box;
    RefusedBy rule = RefusedBy::kBlocked;
    std::string protocol;       ///< tcp, udp, icmp; dns for a name that was looked up
    netns::Ipv4 destination{};  ///< 0: it has none but the name
    uint16_t port = 0;          ///< 0: none
    std::string name{};         ///< of the destination, printable; empty: not known
    auto operator<=>(const RefusedFlow&) const = default;
};

/// Refusals that are told apart by nothing but their time.
struct RefusedEntry {
    RefusedFlow flow;
    int64_t first_ms = 0;  ///< Unix
    int64_t last_ms = 0;
    uint64_t times = 0;   ///< it was noted
    uint64_t change = 0;  ///< the greater the later it was noted last
};

/// What was lately refused to the boxes: in memory alone, bounded for each box, each rule and all together, whatever
/// boxes do. Whoever refuses says so by note(), from any thread, and never waits; all else is for the event loop.
class Refusals {
  public:
    static constexpr size_t kKeptOfRule = 64;  ///< of one box
    static constexpr size_t kKept = 16 * 1024;

    /// Who the boxes are; asked on the event loop.
    struct Boxes {
        std::function<std::string(netns::Ipv4)> owner;  ///< the id of the one that has an address; empty: none has
        std::function<bool(const std::string& id)> is_there;  ///< of one that is not, nothing is kept for long
    };
    Refusals(asio::any_io_executor executor, Boxes boxes);

    void note(RefusedFlow flow);

    /// Of a box, by its id: what was noted after that change, the oldest first.
    [[nodiscard]] std::vector<RefusedEntry> of(const std::string& box, uint64_t after = 0) const;
    /// How many entries of it are no longer kept, since others took their place.
    [[nodiscard]] uint64_t dropped(const std::string& box) const;
    /// Until something is noted of any box.
    Task<> grown() { co_await grown_.wait(); }
    /// Flows noted since the start, by rule.
    [[nodiscard]] uint64_t noted(RefusedBy rule) const { return noted_[static_cast<size_t>(rule)]; }

  private:
    struct OfBox {
        std::deque<RefusedEntry> entries;  ///< by `change`
        uint64_t dropped = 0;
        int64_t minute = 0;   ///< of what follows, since 1970
        unsigned lines = 0;   ///< written to the log in it
        unsigned unsaid = 0;  ///< and left out
    };

    void take_in();
    void keep(const std::string& id, RefusedEntry entry);
    void make_room(OfBox& box, RefusedBy rule);
    void drop(OfBox& box, std::deque<RefusedEntry>::const_iterator entry);
    void say(const std::string& id, OfBox& box, const RefusedEntry& entry);

    asio::any_io_executor executor_;
    Boxes whose_;
    std::map<std::string, OfBox> boxes_;  ///< by id
    size_t kept_ = 0;
    uint64_t changes_ = 0;
    std::array<uint64_t, kRefusers> noted_{};
    int64_t minute_ = 0;
    unsigned lines_ = 0;  ///< of all boxes, in that minute
    Signal grown_;

    std::mutex mutex_;  ///< of what follows
    std::map<RefusedFlow, RefusedEntry> waiting_;
    std::map<netns::Ipv4, size_t> waiting_of_;
    bool called_ = false;  ///< take_in() will be
};

}  // namespace hutch::daemon
