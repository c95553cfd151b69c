#include "netns/nft_socket.h"

#include <netlink/attr.h>
#include <sys/socket.h>

#include "netns/nft_message.h"

namespace hutch::netns {

namespace {

constexpr int kSendBuffer =
    1 << 20;  // a transaction goes in one piece; all lists of a policy at their longest take 130 KB

using Message = Handle<nl_msg, nlmsg_free>;

Message edge_of_batch(int type) {
    auto message = handle<Message>(nlmsg_alloc_simple(type, NLM_F_REQUEST));
    nfgenmsg head{};
    head.res_id = htons(NFNL_SUBSYS_NFTABLES);
    if (nlmsg_append(message.get(), &head, sizeof(head), NLMSG_ALIGNTO) < 0) throw std::bad_alloc();
    return message;
}

void append(std::string& text, nl_sock* socket, const Message& message) {
    nl_complete_msg(socket, message.get());
    const nlmsghdr* header = nlmsg_hdr(message.get());
    text.append(reinterpret_cast<const char*>(header), header->nlmsg_len);  // whole words, as all attributes are padded
}

// The kernel works while send() runs, so what it has to say is there already.
Result<void> read_outcome(int fd, uint32_t begin, const std::vector<Request>& requests) {
    Result<void> refused, unread;
    bool acknowledged = false;
    for (;;) {
        alignas(nlmsghdr) char buffer[8192];
        const ssize_t size = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EAGAIN) break;
        if (size < 0) unread = errno_error("reading what nf_tables says");
        if (size < 0 && errno == ENOBUFS) continue;  // more refusals than there is room for; the first ones are there
        if (size < 0) break;
        int left = static_cast<int>(size);
        for (auto* header = reinterpret_cast<nlmsghdr*>(buffer); nlmsg_ok(header, left);
             header = nlmsg_next(header, &left)) {
            const uint32_t at = header->nlmsg_seq - begin;  // numbered one after the other by nl_complete_msg
            if (header->nlmsg_type != NLMSG_ERROR || at > requests.size()) continue;
            acknowledged |= at == requests.size();
            if (static_cast<const nlmsgerr*>(nlmsg_data(header))->error == 0 || !refused.ok()) continue;
            // The transaction as a whole is refused under the number of its beginning.
            refused = refusal(at == 0 ? "changing nf_tables" : requests[at - 1].what, header);
        }
    }
    if (!refused.ok() || !unread.ok()) return refused.ok() ? unread : refused;
    if (!acknowledged) return errno_error("changing nf_tables: no answer", EPROTO);
    return {};
}

// Asks for one thing. The answer's header lies in `answer`.
template <size_t size>
Result<nlmsghdr*> ask(nl_sock* socket, const std::string& what, const NftMessage& question, char (&answer)[size]) {
    nl_complete_msg(socket, question.get());
    const int fd = nl_socket_get_fd(socket);
    const nlmsghdr* header = nlmsg_hdr(question.get());
    if (send(fd, header, header->nlmsg_len, 0) < 0) return errno_error(what);
    const ssize_t length = recv(fd, answer, size, 0);  // answered before send() returned
    if (length < 0) return errno_error(what);
    auto* told = reinterpret_cast<nlmsghdr*>(answer);
    if (!nlmsg_ok(told, static_cast<int>(length))) return errno_error(what, EPROTO);
    return told;
}

Result<bool> is_there(nl_sock* socket, const std::string& what, const NftMessage& question) {
    alignas(nlmsghdr) char answer[8192];
    nlmsghdr* told = TRY(ask(socket, what, question, answer));
    if (told->nlmsg_type != NLMSG_ERROR) return true;
    if (static_cast<const nlmsgerr*>(nlmsg_data(told))->error == -ENOENT) return false;
    return refusal(what, told);
}

}  // namespace

Result<NftSocket> nft_socket() {
    NftSocket socket = TRY(netlink_socket(NETLINK_NETFILTER));
    nl_socket_disable_auto_ack(socket.get());  // the answer to a question is enough
    setsockopt(nl_socket_get_fd(socket.get()), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof(kSendBuffer));
    return socket;
}

Result<uint32_t> nft_generation(nl_sock* socket) {
    const std::string what = "asking for the generation of nftables";
    alignas(nlmsghdr) char answer[1024];
    nlmsghdr* told = TRY(ask(socket, what, NftMessage(NFT_MSG_GETGEN, 0), answer));
    const int size = nlmsg_attrlen(told, sizeof(nfgenmsg));
    if (told->nlmsg_type != nft_type(NFT_MSG_NEWGEN) || size <= 0) return errno_error(what, EPROTO);
    const nlattr* number = nla_find(nlmsg_attrdata(told, sizeof(nfgenmsg)), size, NFTA_GEN_ID);
    if (number == nullptr || nla_len(number) < 4) return errno_error(what, EPROTO);
    return ntohl(nla_get_u32(number));
}

Result<bool> nft_has_table(nl_sock* socket, const std::string& table) {
    NftMessage question(NFT_MSG_GETTABLE, 0);
    question.name(NFTA_TABLE_NAME, table);
    return is_there(socket, "looking for the table inet " + table, question);
}

Result<bool> nft_has_counter(nl_sock* socket, const std::string& table, const std::string& counter) {
    NftMessage question(NFT_MSG_GETOBJ, 0);
    question.name(NFTA_OBJ_TABLE, table).name(NFTA_OBJ_NAME, counter).number(NFTA_OBJ_TYPE, NFT_OBJECT_COUNTER);
    return is_there(socket, "looking for a counter of the table inet " + table, question);
}

Result<void> nft_commit(nl_sock* socket, const std::vector<Request>& requests) {
    if (requests.empty()) return {};
    // Of what goes well the last message alone is answered: answers must find room in the socket.
    nlmsg_hdr(requests.back().message.get())->nlmsg_flags |= NLM_F_ACK;
    const Message begin = edge_of_batch(NFNL_MSG_BATCH_BEGIN);
    const Message end = edge_of_batch(NFNL_MSG_BATCH_END);
    std::string text;
    append(text, socket, begin);
    for (const Request& request : requests) append(text, socket, request.message);
    append(text, socket, end);
    const int fd = nl_socket_get_fd(socket);
    if (send(fd, text.data(), text.size(), 0) < 0) return errno_error(requests.front().what);
    return read_outcome(fd, nlmsg_hdr(begin.get())->nlmsg_seq, requests);
}

}  // namespace hutch::netns
