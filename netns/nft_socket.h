#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "netns/netlink.h"

namespace hutch::netns {

/// A socket of nf_tables. It belongs to the network namespace it was opened in. One thread at a time.
using NftSocket = Handle<nl_sock, nl_socket_free>;

/// Of the calling thread's network namespace. Closing it after something was removed by it waits for packets that still
/// look at that (nft_rcv_nl_event in nf_tables_api.c), some 10 ms.
Result<NftSocket> nft_socket();

/// The newest generation: each transaction has one of its own.
Result<uint32_t> nft_generation(nl_sock* socket);
/// Of family inet.
Result<bool> nft_has_table(nl_sock* socket, const std::string& table);
Result<bool> nft_has_counter(nl_sock* socket, const std::string& table, const std::string& counter);

/// Sends messages of nf_tables as one transaction: the kernel applies all of them or none. The error is that of the
/// first one it refuses, behind what that one was for.
Result<void> nft_commit(nl_sock* socket, const std::vector<Request>& requests);

}  // namespace hutch::netns
