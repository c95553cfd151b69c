#pragma once

#include <memory>
#include <optional>
#include <string>

#include "daemon/config.h"
#include "daemon/fetch.h"
#include "daemon/registry/blobs.h"
#include "daemon/registry/repository.h"
#include "daemon/store/records.h"

namespace hutch::daemon {

/// The registries of images, as customers of this host may use them. What goes to them and comes from them has a thread
/// of its own, so that it keeps nobody else's calls. Event loop thread only.
class Registries {
  public:
    /// `records` and `config` outlive this. kInvalid for authorities that cannot be read.
    static Result<std::unique_ptr<Registries>> open(const asio::any_io_executor& executor, Records& records,
                                                    const Config& config);

    /// What the text names, at the configured registry where it names none, and with the tag "latest" where it names
    /// neither tag nor digest: the same text for the same image.
    [[nodiscard]] Result<Reference> reference(std::string_view text) const;
    /// As that customer, who is known there by `given`, or else as it has logged in. Of the host's own customer's
    /// logins others have no use.
    [[nodiscard]] Result<std::shared_ptr<Repository>> repository(const std::string& customer, Reference reference,
                                                                 std::optional<RegistryLogin> given,
                                                                 RegistryAccess access);
    Blobs& blobs() { return *blobs_; }
    Records& records() { return records_; }

  private:
    Registries(Records& records, const Config& config, Fetcher fetcher, std::unique_ptr<Blobs> blobs);
    Records& records_;
    const Config& config_;
    RegistryRules rules_;
    Fetcher fetcher_;
    std::unique_ptr<Blobs> blobs_;
};

/// The host by which logins at a registry are kept: that of its references, in lower case. kInvalid for what is none.
Result<std::string> login_host(const std::string& text);

}  // namespace hutch::daemon
