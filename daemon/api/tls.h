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
    /// Of hosts among themselves: both sides show a certificate of that authority's, in TLS 1.3.
    static Result<std::shared_ptr<Tls>> load_mutual(File certificate, File key, File authority);

    /// Reads both files anew, for the connections to come. After an error all is as it was.
    Result<void> reload();
    /// For one connection, which may outlive the next reload().
    [[nodiscard]] std::shared_ptr<boost::asio::ssl::context> context() const { return context_; }
    /// The same of who calls; of mutual ones alone.
    [[nodiscard]] std::shared_ptr<boost::asio::ssl::context> client_context() const { return client_context_; }

  private:
    Tls(File certificate, File key, File authority = {})
        : certificate_(std::move(certificate)), key_(std::move(key)), authority_(std::move(authority)) {}
    Result<void> fill(boost::asio::ssl::context& context) const;
    File certificate_;
    File key_;
    File authority_;  ///< without a path: clients show none
    std::shared_ptr<boost::asio::ssl::context> context_;
    std::shared_ptr<boost::asio::ssl::context> client_context_;
};

}  // namespace hutch::daemon
