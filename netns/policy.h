#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "netns/config.h"
#include "netns/dns_judge.h"
#include "netns/learned.h"
#include "netns/nft_batch.h"
#include "netns/nft_events.h"
#include "netns/nft_socket.h"

namespace hutch::netns {

/// What one box may talk to, of what is not closed to all boxes (firewall.h). A denied network is closed though it be
/// allowed.
struct Policy {
    bool open = true;  ///< to all that is not denied; else to `allowed` and `domains` alone
    std::vector<Prefix> allowed;
    std::vector<Prefix> denied;
    /// TCP ports: connections to them, wherever they go, come to Config::relay, with nobody there being refused. By UDP
    /// nothing goes to them.
    std::vector<uint16_t> relayed = {};
    std::vector<std::string> domains = {};  ///< as parse_domain() gives them

    [[nodiscard]] bool is_default() const { return admits_all() && relayed.empty(); }
    /// Nothing is refused by its address.
    [[nodiscard]] bool admits_all() const { return open && denied.empty(); }
    /// The port is in `relayed`; by_name() relays others, too.
    [[nodiscard]] bool relays(uint16_t port) const;
    /// All its TCP to other networks than `allowed` comes to Config::relay, too, which sees what it is for. DNS is
    /// answered for `domains` alone.
    [[nodiscard]] bool by_name() const { return !open && !domains.empty(); }
    bool operator==(const Policy&) const = default;
};

/// "10.0.0.0/8", a single address, or "0.0.0.0/0" for all. kInvalid names the text.
Result<std::vector<Prefix>> parse_network(const std::string& text);

/// Those that do not lie within another one.
std::vector<Prefix> outermost(std::vector<Prefix> networks);

/// What leads from the elements of one policy of `box` to those of the other: as nft(8) commands for one transaction,
/// and as the same in messages.
std::string policy_commands(const Config& config, Ipv4 box, const Policy& old, const Policy& wanted);
NftBatch policy_batch(const Config& config, Ipv4 box, const Policy& old, const Policy& wanted);

/// The policies in force, in the sets of the firewall's table. A box with the default policy has no element: its
/// packets pay for one lookup. Every packet is looked up, in both directions, so that a change holds for connections
/// that are there as well. Thread-safe; questions do not wait for a transaction that is under way.
class Policies {
  public:
    /// Puts the firewall in place with these policies, in one transaction: no box is open for a moment at a restart.
    static Result<std::unique_ptr<Policies>> load(const Config& config, std::map<Ipv4, Policy> policies);

    /// What load() found: whether the table was there before, and the boxes it was loaded for.
    [[nodiscard]] bool found_table() const { return found_table_; }
    [[nodiscard]] const std::vector<Ipv4>& loaded_with() const { return loaded_with_; }
    /// `heard` is told of each change, from the thread that makes it, when it is in force.
    void on_change(std::function<void(Ipv4 box)> heard);
    /// The one in force.
    [[nodiscard]] Policy of(Ipv4 box) const;
    /// In one transaction; on failure the old one holds. Where others have removed the table, it is put back with all
    /// policies. It waits for a transaction that is under way, so it is for a worker thread.
    Result<void> set(Ipv4 box, const Policy& policy);
    /// The box is gone: before its address is another's.
    Result<void> lift(Ipv4 box) { return set(box, {}); }
    /// Lifts those of all others.
    Result<void> keep_only(const std::vector<Ipv4>& boxes);
    /// What of its name queries is passed on: all only of a box that may talk to everybody.
    [[nodiscard]] MayAsk may_ask(Ipv4 box) const;
    /// Whether its policy is by name, and this one of them.
    [[nodiscard]] bool lists(Ipv4 box, std::string_view name) const;
    /// What boxes were told for their names; that of a box goes with its last policy by name.
    [[nodiscard]] Learned& learned() { return learned_; }

    /// Whether this transaction (of our table) was one of ours. It waits for one of ours that is under way. One that
    /// cannot be told apart, since others worked at the same time, may be taken for another's.
    [[nodiscard]] bool made(const NftCommit& commit) const;
    /// Puts the table in place again with all policies, whatever others have made of it, in one transaction.
    Result<void> restore();
    /// Times it was put back, by restore() or by set().
    [[nodiscard]] uint64_t restored() const { return restored_; }

  private:
    /// A transaction of ours: its generation is behind `before`, and at most `after`.
    struct Commit {
        uint32_t before, after;
        uint32_t thread;
    };

    Policies(Config config, NftSocket socket, std::map<Ipv4, Policy> policies)
        : config_(std::move(config)), socket_(std::move(socket)), policies_(std::move(policies)) {}
    /// All with `transaction_` locked.
    Result<void> commit(const NftBatch& batch);
    Result<void> load(const std::string& commands);
    template <typename Change>
    Result<void> remember(Change change);
    [[nodiscard]] std::string whole() const;

    const Config config_;
    bool found_table_ = false;
    std::vector<Ipv4> loaded_with_;
    const NftSocket socket_;
    mutable std::mutex transaction_;  ///< held while there is one
    std::deque<Commit> commits_;      ///< the last ones
    std::atomic<uint64_t> restored_ = 0;
    mutable std::mutex mutex_;         ///< of what follows; taken after `transaction_`, never held over a transaction
    std::map<Ipv4, Policy> policies_;  ///< those that are not the default
    std::function<void(Ipv4)> heard_;
    Learned learned_;
};

}  // namespace hutch::netns
