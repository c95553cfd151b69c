#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hutch::client {

/// Whether a path fits: `*` and `?` as any bytes but '/', `[a-z]` `[^a-z]`, `\` before a byte that means itself, and
/// `**` as a whole part for any number of parts. Takes no longer than the product of the lengths.
bool fits_pattern(std::string_view pattern, std::string_view path);
/// Whether it has any of these.
bool is_pattern(std::string_view text);
/// "a//./b/../c" as "a/c"; what leads above the top stays there ("../a" is "a"), as does a leading '/'.
std::string lexical_path(std::string_view path);

/// What a `.dockerignore` leaves out of the context: a pattern a line, `#` a comment, `!` takes back; the last that
/// fits a path, or a directory above it, decides.
class IgnoreList {
  public:
    static Result<IgnoreList> parse(const std::string& name, std::string_view text);
    /// `path`: below the context.
    [[nodiscard]] bool leaves_out(const std::string& path) const;
    /// Whether something beneath what is left out may be taken back.
    [[nodiscard]] bool takes_back() const { return takes_back_; }

  private:
    struct Rule {
        std::string pattern;
        bool take = false;
    };
    std::vector<Rule> rules_;
    bool takes_back_ = false;
};

}  // namespace hutch::client
