const { serve, release } = require('rsipc');

(async () => {
  const server = await serve('rsipc:guide.large', { codec: 'raw', payload: 'view' });
  server.on('connection', (camera) => {
    let frames = 0;
    camera.on('message', (frame) => {
      if (++frames < 100) return void release(frame); // it is the camera's again
      console.log(frames, 'frames of', frame.length); // → 100 frames of 2073600
      server.close();
    });
  });
})();
