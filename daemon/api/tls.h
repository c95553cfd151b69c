#pragma once

#include <memory>
#include <string>

#include "base/result.h"

namespace boost::asio::ssl {
class context;
}

namespace hutch::daemon {

/// The certificate that a TCP port shows, and its key, from two PEM files. TLS 1.2 and later.
class Tls {
  public:
    /// A file, and the option that names it.
    struct File {
        std::string option;
        std::string path;
    };
    /// kInvalid, naming the option, for what is no certificate, or a key that is not its own or open to everybody.
    static Result<std::shared_ptr<Tls>> load(File certificate, File key);

    /// Reads both files anew, for the connections to come. After an error all is as it was.
    Result<void> reload();
    /// For one connection, which may outlive the next reload().
    [[nodiscard]] std::shared_ptr<boost::asio::ssl::context> context() const { return context_; }

  private:
    Tls(File certificate, File key) : certificate_(std::move(certificate)), key_(std::move(key)) {}
    File certificate_;
    File key_;
    std::shared_ptr<boost::asio::ssl::context> context_;
};

}  // namespace hutch::daemon
