#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netns/nft_socket.h"

namespace hutch::netns {

/// A transaction of nftables that changed a table. The kernel counts them: each has a generation of its own.
struct NftCommit {
    uint32_t generation = 0;
    uint32_t thread = 0;  ///< who made it, as the kernel numbers it
    std::string program;  ///< its name; 15 characters at most
};

/// Told by the kernel of all transactions in the network namespace it was opened in that change one table, of family
/// inet. One thread at a time.
class NftEvents {
  public:
    static Result<NftEvents> open(const std::string& table);

    /// Readable when there is news.
    [[nodiscard]] int fd() const { return nl_socket_get_fd(socket_.get()); }
    /// What has been told since the last call, without waiting. Nothing at all (nullopt) when some of it was lost
    /// because too much came at once.
    Result<std::optional<std::vector<NftCommit>>> take();

  private:
    NftEvents(NftSocket socket, std::string table) : socket_(std::move(socket)), table_(std::move(table)) {}
    void read(nlmsghdr* header, std::vector<NftCommit>& commits);

    NftSocket socket_;
    std::string table_;
    bool touched_ = false;  ///< the transaction that is being told of has changed the table
};

}  // namespace hutch::netns
