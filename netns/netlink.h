#pragma once

#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <memory>
#include <new>
#include <string>
#include <vector>

#include "base/result.h"

namespace hutch::netns {

template <auto release>
struct Release {
    template <typename T>
    void operator()(T* object) const {
        release(object);
    }
};

/// Owns an object of libnl, given back by `release`.
template <typename T, auto release>
using Handle = std::unique_ptr<T, Release<release>>;

/// libnl's allocators answer null when memory is out; ours throw like any other.
template <typename H>
H handle(typename H::pointer object) {
    if (object == nullptr) throw std::bad_alloc();
    return H(object);
}

/// One message to the kernel, and what to call it in an error ("adding route to 198.18.0.1").
struct Request {
    std::string what;
    Handle<nl_msg, nlmsg_free> message;
};

/// The request that one of libnl-route's *_build_*_request functions makes.
template <typename Build, typename... Arguments>
Result<Request> request(std::string what, Build build, Arguments... arguments) {
    nl_msg* message = nullptr;
    const int failure = build(arguments..., &message);
    if (failure < 0) return Error{ErrorKind::kSystem, 0, what + ": " + nl_geterror(failure)};
    return Request{std::move(what), Handle<nl_msg, nlmsg_free>(message)};
}

/// A socket of netlink(7) of the calling thread's network namespace, whose errors come with the kernel's own words.
Result<Handle<nl_sock, nl_socket_free>> netlink_socket(int protocol);

/// What an answer that refuses says: "File exists", or "Invalid argument (Device not found)" with the kernel's words.
Error refusal(const std::string& what, nlmsghdr* answer);

/// An rtnetlink(7) socket. It belongs to the network namespace it was opened in, wherever its user goes afterwards.
/// One thread at a time.
class Netlink {
  public:
    static Result<Netlink> open();

    /// Sends all requests in one system call and waits for all answers. The kernel goes on after one that fails;
    /// the first failure is returned with the kernel's own words (NETLINK_EXT_ACK).
    Result<void> apply(const std::vector<Request>& requests);
    /// The number of the link called `name` in the socket's namespace.
    [[nodiscard]] Result<int> link_index(const std::string& name) const;
    /// From now on the socket is told of links that change; only for a socket that will wait for one.
    Result<void> follow_links();
    /// Waits until the kernel tells that the link can send. It gives a link its queue behind our back (linkwatch), some
    /// 100 us after both ends of a veth are up; what is sent before is lost. After follow_links, and before it is up.
    Result<void> wait_until_running(int link);
    /// For libnl's own queries.
    [[nodiscard]] nl_sock* get() const { return socket_.get(); }

  private:
    using Socket = Handle<nl_sock, nl_socket_free>;
    explicit Netlink(Socket socket) : socket_(std::move(socket)) {}
    Result<void> send(const std::vector<Request>& requests);
    /// Reads one datagram of answers; returns how many were in it.
    Result<size_t> receive(const std::vector<Request>& requests, Result<void>& outcome);

    Socket socket_;
};

}  // namespace hutch::netns
