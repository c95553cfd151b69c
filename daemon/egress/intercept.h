#pragma once

#include <memory>

#include "daemon/attached/attached.h"
#include "daemon/egress/judge.h"

namespace hutch::daemon {

/// Answers a box in place of the hosts that its attached headers are for:
///
///     box --TLS, by its own authority--> each request, with the headers --TLS, by the host's authorities--> host
///
/// The host is the one that the box has named, at the address that it has connected to; what cannot prove to be that
/// host is told nothing. Of HTTP it speaks 1.1 alone, with WebSockets. Used by the relay's thread alone, but for its
/// making.
class Intercept {
  public:
    /// Trusts what OpenSSL does on this host: its files of authorities, or SSL_CERT_FILE and SSL_CERT_DIR.
    static Result<std::shared_ptr<Intercept>> make(const Attached& attached);

    /// Whether a connection is for it.
    [[nodiscard]] bool wants(const Flow& flow) const;
    Task<> serve(Wire box, std::string begun, Flow flow);

  private:
    struct Guest;
    Intercept(const Attached& attached, std::shared_ptr<asio::ssl::context> trusted)
        : attached_(attached), trusted_(std::move(trusted)) {}
    Task<bool> serve_one(Guest& guest, size_t head_size);

    const Attached& attached_;
    std::shared_ptr<asio::ssl::context> trusted_;
};

}  // namespace hutch::daemon
