#pragma once

#include <locale.h>

namespace hutch::archives {

/// libarchive turns UTF-8 names into the locale's charset, normalising them on the way. In the "C" locale it cannot
/// and keeps the bytes, which is what a file name is. For this thread only.
class PlainLocale {
  public:
    PlainLocale() : plain_(newlocale(LC_ALL_MASK, "C", nullptr)), old_(uselocale(plain_)) {}
    PlainLocale(const PlainLocale&) = delete;
    PlainLocale& operator=(const PlainLocale&) = delete;
    ~PlainLocale() {
        uselocale(old_);
        freelocale(plain_);
    }

  private:
    locale_t plain_, old_;
};

}  // namespace hutch::archives
