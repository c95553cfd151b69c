#!/bin/bash
# Text is UTF-8 without any setting, and in the locale that remote shells and scripts most often ask for.
# create: --image debian
# want: C.UTF-8 UTF-8
# want: UTF-8
# want: March
# want: ÄÖ
# want: no complaint
# want: 5
echo "$LANG $(locale charmap)"
export LC_ALL=en_US.UTF-8
locale charmap
date -d 2026-03-01 +%B
python3 -c "print(\"äö\".upper())"
perl -e "print qq(no complaint\n)" 2>&1
LC_ALL='' bash -c "word=größe; echo \${#word}"
