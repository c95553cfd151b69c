#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hutch::daemon {

/// Keeps what is secret in the database from who has a copy of it alone: AES-256-GCM, by a key in a file of its own.
/// A value is bound to its place (table, column and row), so that it cannot be read from another.
class Vault {
  public:
    /// With the key in that file, which must be closed to others. ENOENT where there is none.
    static Result<Vault> open(const std::string& path);
    /// Makes the file with a new key: whole and on disk when this returns, or not there.
    static Result<Vault> make(const std::string& path);

    /// Nothing stays nothing: whether there is a secret may be seen.
    [[nodiscard]] Result<std::string> seal(std::string_view clear, const std::string& place) const;
    /// kConflict for what was not sealed with this key for this place, or was changed since.
    [[nodiscard]] Result<std::string> unseal(std::string_view sealed, const std::string& place) const;

  private:
    static constexpr size_t kKeyBytes = 32;
    using Key = std::array<unsigned char, kKeyBytes>;
    Vault() = default;
    [[nodiscard]] Result<Key> key_of(const std::string& place) const;

    Key key_{};
};

}  // namespace hutch::daemon
