/* Opens a page: the data in it are unpacked, and what can't be shown is said. */

/* Unpacks the data, and has `start(head)` show them. */
async function open(start) {
  const message = byId("message");
  if (!("DecompressionStream" in window)) {
    message.textContent =
      "This browser is too old to unpack the recording; Chrome 80, Firefox 113 and Safari 16.4 can.";
    return;
  }
  try {
    const data = byId("data");
    const head = await unpack(data.textContent);
    data.remove(); // megabytes that nobody needs any more
    listenToAbout();
    message.hidden = true;
    byId("main").hidden = false;
    start(head);
    performance.mark("pidflame-ready");
  } catch (error) {
    message.hidden = false;
    message.textContent = `The recording in this page can't be shown: ${error.message}`;
    throw error;
  }
}
