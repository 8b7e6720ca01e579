"""What the site's search takes for a word: English ones, "(3.2)", and each two Chinese characters.

The same rule stands here in Python, for the index, and in JavaScript, for what a reader types.
"""

import re

from sphinx.search.en import SearchEnglish

CHINESE = "\u4e00-\u9fff"
WORD = re.compile(rf"\d+\.\d+|[{CHINESE}]+|[^\W{CHINESE}]+")


def words(text: str) -> list[str]:
    found = []
    for word in WORD.findall(text):
        if len(word) > 2 and re.match(f"[{CHINESE}]", word):
            found += [word[i : i + 2] for i in range(len(word) - 1)]
        else:
            found.append(word)
    return found


class SearchWords(SearchEnglish):
    """English, with equation numbers and Chinese terms."""

    lang = "en"
    js_splitter_code = r"""
var splitQuery = (query) => {
  const chinese = /[\u4e00-\u9fff]/, found = [];
  const word = /\d+\.\d+|[\u4e00-\u9fff]+|[\p{L}\p{N}_]+/gu;
  const apart = query.replace(/([\u4e00-\u9fff]+)/g, " $1 ");
  for (const [each] of apart.matchAll(word)) {
    if (each.length > 2 && chinese.test(each))
      for (let i = 0; i + 1 < each.length; i++) found.push(each.slice(i, i + 2));
    else found.push(each);
  }
  return found;
};
"""

    def split(self, input):
        return words(input)


def setup(app):
    app.add_search_language(SearchWords)
    return {"parallel_read_safe": True}
