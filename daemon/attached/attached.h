#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "daemon/attached/authority.h"
#include "daemon/box/manager.h"
#include "daemon/run/runs.h"

namespace hutch::daemon {

/// Headers that requests of boxes get outside of them (egress/intercept.h): which, for which box, and the authority by
/// which it takes the daemon for those hosts. A customer's rules are beneath a box's own: of one pattern and header,
/// the box's value counts. Of all patterns that fit a host, the most specific one alone does. Event loop thread only,
/// but for find().
class Attached {
  public:
    static constexpr size_t kMostPatterns = 100;
    static constexpr size_t kMostHeaders = 20;       ///< of a pattern
    static constexpr size_t kMostBytes = 64 * 1024;  ///< of all patterns, names and values

    Attached(Manager& boxes, Runs& runs)
        : boxes_(boxes), runs_(runs), changing_(std::make_shared<Changing>(boxes.executor())) {}

    /// kInvalid, naming `field`, for rules that are none, or too many.
    static Result<void> check(const std::string& field, const HeaderRules& rules);

    /// Those of a living box are in force from then on. After the boxes were taken over.
    Result<void> load();
    /// A box has a new life: its address is another one.
    void begin(const Box& box);
    /// Its files may not be those that trusted its authority.
    Task<> renew_trust(std::shared_ptr<Box> box);

    [[nodiscard]] Result<HeaderRules> of(const Box& box) const;  ///< its own
    [[nodiscard]] Result<HeaderRules> of_customer(const std::string& customer) const;
    /// What there is to be, of what there is. Asked when no other change of the same rules is under way, so that of two
    /// at once none is lost.
    using Next = std::function<Result<HeaderRules>(HeaderRules now)>;
    /// Answers the rules, in force and safe from a power cut; the box then trusts its authority, as far as its image
    /// lets it: what does not work is in its log.
    Task<Result<HeaderRules>> set(std::shared_ptr<Box> box, Next next);
    Task<Result<HeaderRules>> set_for_customer(std::string customer, Next next);

    /// What the box at that address has. From any thread.
    struct Found {
        std::string box;
        HeaderRules rules;  ///< its own and its customer's
        std::shared_ptr<Authority> authority;
    };
    [[nodiscard]] std::shared_ptr<const Found> find(netns::Ipv4 box) const;
    /// Told of each box whose rules are others now.
    void on_change(std::function<void(netns::Ipv4 box)> call) { changed_ = std::move(call); }

    /// Variables for who looks for authorities elsewhere than in the system's store.
    static Pairs environment();

  private:
    Task<std::shared_ptr<void>> alone(std::string whose);
    Task<Result<HeaderRules>> change(std::shared_ptr<Box> box, Next next);
    Task<> follow(std::string customer);
    Task<> make_trusted(std::shared_ptr<Box> box, std::string certificate);
    Result<void> publish(const Box& box, const AttachedRecord& record, const HeaderRules& shared);

    Manager& boxes_;
    Runs& runs_;
    std::function<void(netns::Ipv4)> changed_;
    /// Boxes and customers, one change of each at a time. Theirs too: a coroutine that is never resumed is destroyed
    /// with the event loop, which may be after this.
    struct Changing {
        explicit Changing(const asio::any_io_executor& executor) : one_less(executor) {}
        std::set<std::string> whose;
        Signal one_less;
    };
    std::shared_ptr<Changing> changing_;
    mutable std::mutex mutex_;
    std::map<netns::Ipv4, std::shared_ptr<const Found>> found_;
};

/// The headers for requests to a host; null for a host that no pattern fits.
const Pairs* headers_for(const HeaderRules& rules, const std::string& host);

}  // namespace hutch::daemon
