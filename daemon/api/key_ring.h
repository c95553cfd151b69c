#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/store/records.h"

namespace hutch::daemon {

/// The API keys that were made here. Each is a customer. Event loop thread only.
///
/// A key is 256 bits of the kernel's random source, so its SHA-256 is all that is kept: a slow hash makes guessing what
/// people choose expensive, and this nobody can guess; it would only make every request slow.
class KeyRing {
  public:
    static Result<KeyRing> load(Records& records);

    /// Makes the key of a new customer, and tells it, for the only time. kConflict when the customer has one.
    Task<Result<std::string>> add(std::string customer);
    /// Not accepted from now on; what is the customer's stays, and is its next key's. kNotFound.
    Task<Result<void>> remove(std::string customer);
    /// kNotFound for a customer that has none.
    [[nodiscard]] Result<void> check(const std::string& customer) const;
    [[nodiscard]] const std::vector<KeyRecord>& list() const { return keys_; }
    /// Whose key it is. Compares with every one, each in constant time.
    [[nodiscard]] std::optional<std::string> owner_of(const std::string& key) const;

  private:
    explicit KeyRing(Records& records) : records_(&records) {}
    Records* records_;
    std::vector<KeyRecord> keys_;
};

}  // namespace hutch::daemon
