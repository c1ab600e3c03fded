/* On a page from the file system the browser refuses to read other pages, so the search shows no excerpts there. */
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
