#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/fetch.h"

namespace hutch::daemon {

/// A key of etcd with what it holds. Both may be any bytes.
struct EtcdRow {
    std::string key;
    std::string value;
    int64_t created = 0;   ///< the revision that made it
    int64_t modified = 0;  ///< and the last that wrote it
};

/// All or nothing of it is done. Whoever writes one sees to it that doing it twice is the same as once, for it is sent
/// again when no answer came. At most 128 writes (etcd's --max-txn-ops).
struct EtcdTxn {
    /// Nothing is done, but for `otherwise`, unless
    std::vector<std::string> absent;                           ///< none of these keys is there,
    std::vector<std::string> present;                          ///< all of these are,
    std::vector<std::pair<std::string, std::string>> holding;  ///< and these hold that value.
    struct Put {
        std::string key;
        std::string value;
        int64_t lease = 0;  ///< ends with that; 0: stays
    };
    std::vector<Put> puts;
    std::vector<std::string> removals;
    /// Removed when it was not done, and read, as it is then.
    std::vector<std::string> otherwise_removals;
    std::vector<std::string> otherwise_reads;
};

struct EtcdOutcome {
    bool done = false;
    std::vector<EtcdRow> found;  ///< of otherwise_reads, those that are there
};

/// One change: the row, or that it is gone.
struct EtcdEvent {
    EtcdRow row;  ///< of one that is gone the key and `modified` alone
    bool gone = false;
};

/// A client of etcd's JSON gateway (/v3, etcd 3.4 and later), whose members are equal: each call goes to the one that
/// answered last, and to the next when that does not within two seconds. Every error is one of unreachable() but those
/// that are said. Event loop thread only.
class Etcd {
  public:
    struct Access {
        std::vector<std::string> members;                 ///< "https://10.0.0.1:2379"
        std::shared_ptr<const FetchIdentity> identity{};  ///< null in clear
    };
    Etcd(asio::any_io_executor executor, Fetcher& fetcher, Access access);

    Task<Result<EtcdOutcome>> commit(EtcdTxn txn);
    /// What a majority agrees on, not what one member remembers.
    Task<Result<std::optional<EtcdRow>>> read(std::string key);
    /// All whose key begins so, as they were at one revision, which is answered; in pieces, with turns for others
    /// between.
    Task<Result<int64_t>> read_all(std::string prefix, std::function<void(EtcdRow)> each);

    /// A lease of so many seconds; its id.
    Task<Result<int64_t>> grant(int64_t seconds);
    /// kNotFound when it has ended.
    Task<Result<void>> keep_alive(int64_t lease);
    Task<Result<void>> revoke(int64_t lease);

    /// Tells what happens to keys that begin so, in order, from that revision on, until an error: kNotFound when that
    /// revision was compacted, so that all is to be read anew. A member that says nothing for so long is left for
    /// another.
    Task<Result<void>> watch(std::string prefix, int64_t from, std::chrono::seconds silence,
                             std::function<void(const EtcdEvent&)> told);

    /// Of 503: passes, and says why.
    static Error unreachable(const std::string& why) { return {ErrorKind::kLimit, EBUSY, "the fleet's etcd: " + why}; }

  private:
    Task<Result<std::string>> call(const char* path, const std::string& body);
    Task<Result<std::string>> call_member(const std::string& member, const char* path, const std::string& body);
    [[nodiscard]] FetchCall call_of(const std::string& member, const char* path, const std::string& body) const;

    asio::any_io_executor executor_;
    Fetcher& fetcher_;
    Access access_;
    size_t current_ = 0;  ///< of its members
};

// What the gateway is asked, and what it has said; texts of JSON.
namespace etcd {
std::string txn_text(const EtcdTxn& txn);
Result<EtcdOutcome> outcome_of(const std::string& text);
/// Of a page of a range: the rows, the revision, and whether there are more.
struct Page {
    std::vector<EtcdRow> rows;
    int64_t revision = 0;
    bool more = false;
};
Result<Page> page_of(const std::string& text);
/// The first key behind all that begin so.
std::string end_of_prefix(std::string prefix);
/// Of a line of a watch. kNotFound: compacted.
Result<std::vector<EtcdEvent>> events_of(const std::string& line);
}  // namespace etcd

}  // namespace hutch::daemon
