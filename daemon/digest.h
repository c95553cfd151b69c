#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace hutch::daemon {

/// SHA-256 of what comes piece by piece.
class Sha256 {
  public:
    Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;
    ~Sha256();

    void add(std::string_view piece);
    /// Of all pieces: 64 digits of lower-case hexadecimal. Once, at the end.
    std::string hex();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

std::string sha256_hex(std::string_view content);

/// What content is called by in the OCI's formats: "sha256:" and sha256_hex().
std::string digest_of(std::string_view content);
/// Of a stack of layers, bottom first, by the digests of their plain archives (image-spec, config.md): the same chain,
/// the same files. `below`: of the stack without its topmost; empty for the first.
std::string chain_id(const std::string& below, const std::string& diff_id);

}  // namespace hutch::daemon
